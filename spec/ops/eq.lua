-- eq.lua: samples and errors of eq.
return require "spec.support.comparison" "eq"
