-- ge.lua: samples and errors of ge.
return require "spec.support.comparison" "ge"
