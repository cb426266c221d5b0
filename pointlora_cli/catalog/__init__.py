"""What can be downloaded, as data; the downloader; the cache."""
