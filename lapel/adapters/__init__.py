"""What is injected into a base and learned, and the file formats it is saved in."""
