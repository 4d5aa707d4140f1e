"""Metering: every use is durable before its answer leaves, counted once, and provable. It knows ids, not products."""
