from instrument.vendor.reader import close_reader as close_reader
from instrument.vendor.reader import read_vendor as read_vendor
from instrument.vendor.signals import Axis as Axis
from instrument.vendor.signals import Claim as Claim
from instrument.vendor.signals import VendorError as VendorError
from instrument.vendor.signals import VendorSignal as VendorSignal
from instrument.vendor.signals import coordinates as coordinates
