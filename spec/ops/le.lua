-- le.lua: samples and errors of le.
return require "spec.support.comparison" "le"
