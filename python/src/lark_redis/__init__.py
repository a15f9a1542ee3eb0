"""Lark in Python: HTTP requests become Redis commands, the replies become JSON. docs/python.md shows how to use it.

    lark_redis.flask, lark_redis.django    for these
    lark_redis.wsgi, lark_redis.asgi       for every other framework
    Plan, plan, shape                      for everything else: no I/O at all
"""
from __future__ import annotations

from ._core import methods
from .gate import AnyOf, Asked, BadCredentials, Caller, Gate, SettingError
from .http import Answer, Request
from .oauth import OAuth
from .plan import Plan, plan, shape
from .tokens import TokensFile

__all__ = ["Answer", "AnyOf", "Asked", "BadCredentials", "Caller", "Gate", "OAuth", "Plan", "Request", "SettingError", "TokensFile",
           "methods", "plan", "shape"]
__version__ = "0.1.0"
