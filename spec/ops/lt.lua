-- lt.lua: samples and errors of lt.
return require "spec.support.comparison" "lt"
