from .entries import Dataset as Dataset, Variant as Variant
from .guard import PluginError as PluginError, Problem as Problem
from .loading import Plugin as Plugin
from .registry import Registry as Registry, load_registry as load_registry
from .selection import SelectionError as SelectionError
