{{ config(order_by="started_at_utc, run_id, sequence") }}

select
    * exclude (rows, bytes, sha256, utc_date),
    rows as rows_received,
    bytes as bytes_received,
    sha256,
    utc_date
from {{ source('climkit', 'api_calls') }}
