"""What is given to other people: packaged signals and tables with what speaks for them."""
