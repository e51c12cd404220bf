"""What is told of validated files: findings by their causes, reasons, numbers as people write them, and the terminal."""
