"""What a file looks like: its head, its first rows, its picture; from as few bytes as that takes."""
