from instrument.readers.logs.log import LoggedChannel as LoggedChannel
from instrument.readers.logs.log import SensorLog as SensorLog
from instrument.readers.reader import close_reader as close_reader
from instrument.readers.reader import read_log as read_log
from instrument.readers.reader import read_vendor as read_vendor
from instrument.readers.reader import read_vendor_many as read_vendor_many
from instrument.readers.reader import warm_reader as warm_reader
from instrument.readers.signals import VendorError as VendorError
