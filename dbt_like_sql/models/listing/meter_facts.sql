select *
from {{ source('pipeline', 'meter_facts') }}
