"""What a build of any size costs those who steer it: driver, database and the one process that finalises."""
