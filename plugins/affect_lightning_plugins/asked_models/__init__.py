"""Models that are asked in words and answer in words: behind a server, or in this process. Plugins of several groups ask them."""
