--- Convolutions by a kernel that is asked for by name.

local layer = require "mascon.ffi"
local mascon = require "mascon"

-- ORDER: MASCON_CONV_* of lib/cpu/conv.h
local M = { ONEDNN = 0, SMALL = 1, WINOGRAD = 2, DEPTHWISE = 3 }
M.names = { [M.SMALL] = "few channels", [M.WINOGRAD] = "Winograd", [M.DEPTHWISE] = "depthwise" }

--- What fn returns when a kernel serves its convolutions; fails where another one served.
---@param kernel integer
---@param no_avx512 integer 1: by AVX2
---@param fn function
function M.by(kernel, no_avx512, fn)
  layer.C.mascon_testing_conv(kernel, no_avx512)
  local out
  local good, message = pcall(function()
    local found = 0
    for _, row in ipairs(mascon.profile(function() out = fn() end)) do
      if row.op:match "^conv2d" then
        found = found + 1
        assert(not M.names[kernel] or row.kernel == M.names[kernel], "another kernel served")
      end
    end
    assert(found > 0, "there was no convolution")
  end)
  layer.C.mascon_testing_conv(-1, 0)
  if not good then
    error(message, 0)
  end
  return out
end

--- Sizes and padding of a convolution {n, c, h, w, oc, padding}, for the name of a test.
function M.title(s)
  local padding = type(s[6]) == "table" and table.concat(s[6], "x") or s[6]
  return ("%dx%dx%dx%d to %d, padding %s"):format(s[1], s[2], s[3], s[4], s[5], padding)
end

return M
