select *
from {{ source('pipeline', 'decisions') }}
