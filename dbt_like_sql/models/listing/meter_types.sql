-- The seed, where analysts and views that are published can read it.
select *
from {{ ref('known_meter_types') }}
