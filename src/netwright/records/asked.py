"""What a user asks of answers, beyond the rows: how far, for whom, how many."""

from dataclasses import dataclass, fields

from netwright.records.options import option


@dataclass(frozen=True)
class Asked:
    """Options of `predict` that only some tasks understand; each task says so in `Task.asking`."""

    horizon: int = option(
        0, "Forecasts: only the next steps, at most as many as in training; 0: all.", low=0, metavar="STEPS"
    )
    service_level: float = option(
        0.0, "Forecasts: also the quantity that suffices with this probability: 0.95.", metavar="SHARE"
    )
    users: tuple[str, ...] = option((), "Rankings: only these users, such as u1,u2.", metavar="USERS")
    top: int = option(10, "Rankings: items for each user.", low=1, metavar="ITEMS")
    exclude_seen: bool = option(True, "Rankings: leave out what the user has already had.")

    def said(self) -> tuple[str, ...]:
        """The words that differ from their defaults, as the command line writes them."""
        plain = Asked()
        names = [f.name for f in fields(self) if getattr(self, f.name) != getattr(plain, f.name)]
        return tuple(f"--{name.replace('_', '-')}" for name in names)


PLAIN = Asked()
