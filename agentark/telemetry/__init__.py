"""What a running stage tells Prometheus: figures kept as plain numbers, text made of them where somebody asks.

Prometheus's client is imported where an address to serve at is given, so that a stage on a laptop does not pay for it.
"""

from agentark.telemetry.figures import Histogram, StageFigures
from agentark.telemetry.metered import MeteredStore
from agentark.telemetry.metrics_server import ADDRESS, serving

__all__ = ["ADDRESS", "Histogram", "MeteredStore", "StageFigures", "serving"]
