"""The provable end of an authorization: freeze, hand-over, destruction, final settlement, certificate."""
