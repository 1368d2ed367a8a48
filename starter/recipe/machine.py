"""What this machine grants."""


def cores() -> int:
    """Cores that this process may use: what an affinity mask or a container's quota leaves."""
    from joblib import cpu_count

    return int(cpu_count())
