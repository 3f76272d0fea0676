"""What the pipeline runs on: images, manifests, and a demonstration of both without containers."""
