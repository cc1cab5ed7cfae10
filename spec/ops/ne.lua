-- ne.lua: samples and errors of ne.
return require "spec.support.comparison" "ne"
