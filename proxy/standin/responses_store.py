"""What the stand-in keeps of its responses: so that a later request can go on from one, or name an item by its id."""

from __future__ import annotations

from collections import OrderedDict

from proxy.errors import BadRequest, NotFound
from proxy.standin.reading import Json

_MOST_RESPONSES = 1024


class ResponseStore:
    """Keeps conversations in memory; the oldest are forgotten first."""

    def __init__(self) -> None:
        self._conversations: OrderedDict[str, list[Json]] = OrderedDict()

    def keep(self, response_id: str, conversation: list[Json]) -> None:
        """Keep a conversation up to the end of a response."""
        self._conversations[response_id] = conversation
        while len(self._conversations) > _MOST_RESPONSES:
            self._conversations.popitem(last=False)

    def conversation(self, response_id: str) -> list[Json]:
        """Return the items up to the end of a response. Raises BadRequest."""
        found = self._conversations.get(response_id)
        if found is None:
            message = f"Previous response with id '{response_id}' not found."
            raise BadRequest(message, code="previous_response_not_found", param="previous_response_id")
        return found

    def item(self, item_id: str) -> Json:
        """Return an item by its id. Raises NotFound."""
        for conversation in reversed(self._conversations.values()):
            for item in reversed(conversation):
                if item.get("id") == item_id:
                    return item
        raise NotFound(f"Item with id '{item_id}' not found.", param="input")
