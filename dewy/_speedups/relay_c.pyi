from abc import ABCMeta

from typing_extensions import disjoint_base

from .interface import RelayProtocol

__all__ = ["Relay"]

# Abstract as the methods of the protocol have no bodies, which those here have.
@disjoint_base
class Relay(RelayProtocol, metaclass=ABCMeta): ...
