from .entries import Dataset as Dataset, Variant as Variant
from .loading import Plugin as Plugin, PluginError as PluginError, Problem as Problem
from .registry import Registry as Registry, load_registry as load_registry
from .selection import SelectionError as SelectionError
