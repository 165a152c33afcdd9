"""Candlewire's client for asyncio.

async with candlewire.aio.Client("127.0.0.1:50051") as client:
    score = await client.score([0.1, 0.2, 0.3])
"""

from candlewire.aio.client import Client
from candlewire.aio.subscription import Subscription

__all__ = ["Client", "Subscription"]
