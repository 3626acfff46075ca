"""A Climkit API on loopback with known truth: for the demo, for tests, and for rehearsals without an account.

``World`` holds sites, meters and what they truly counted; ``SimulatorServer`` serves it in the documented shapes;
``FaultPlan`` breaks answers on purpose, ``DataFault`` the data in them. Standard library and
``climkit_pipeline.domain`` only.
"""

from climkit_pipeline.simulator.account_forms import AccountForm
from climkit_pipeline.simulator.connections import Call
from climkit_pipeline.simulator.data_faults import DataFault, parse_data_faults
from climkit_pipeline.simulator.faults import Fault, FaultPlan, Request
from climkit_pipeline.simulator.labels import Label
from climkit_pipeline.simulator.server import SimulatorServer
from climkit_pipeline.simulator.world import LoadCurve, Meter, MonthTruth, Sensor, Site, SiteTruth, World

__all__ = [
    "AccountForm",
    "Call",
    "DataFault",
    "Fault",
    "FaultPlan",
    "Label",
    "LoadCurve",
    "Meter",
    "MonthTruth",
    "Request",
    "Sensor",
    "SimulatorServer",
    "Site",
    "SiteTruth",
    "World",
    "parse_data_faults",
]
