class RedisApiException(Exception):
    """An error with the HTTP status that tells it."""

    def __init__(self, message, status_code, *args, **kwargs):
        super().__init__(message)
        self.status_code = status_code
