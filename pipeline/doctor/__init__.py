"""Is this machine fit for a build, and do the services answer that it would use?"""
