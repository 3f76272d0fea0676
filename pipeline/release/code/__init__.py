"""What a release carries to be loaded and checked with: no other code of this program is needed."""
