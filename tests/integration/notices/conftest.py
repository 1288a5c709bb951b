"""Both databases, as for reviews."""

from tests.integration.review.conftest import fresh_url as fresh_url
from tests.integration.review.conftest import new_store as new_store
from tests.integration.review.conftest import store as store
