"""What every room uses: files, texts on their way to people, printed tables, logs, the code behind a result."""
