-- gt.lua: samples and errors of gt.
return require "spec.support.comparison" "gt"
