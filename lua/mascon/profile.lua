--- mascon.profile: where the time of a function goes, by operation.

local layer = require "mascon.ffi"
local guard = require "mascon.guard"
local op = require "mascon.op"
local options = require "mascon.options"

local C = layer.C
local M = {}

local Profile = {}
Profile.__index = Profile

function Profile:__tostring()
  local lines = { ("%-22s %8s %10s %6s %10s %5s  %s"):format("op", "calls", "ms", "%", "MB", "conv",
    "kernel") }
  for _, row in ipairs(self) do
    lines[#lines + 1] = ("%-22s %8d %10.3f %6.1f %10.2f %5d  %s"):format(row.op, row.calls, row.ms,
      row.share * 100, row.bytes / 1e6, row.conversions, row.kernel or "")
  end
  lines[#lines + 1] = ("%-22s %8s %10.3f of %.3f ms"):format("all", "", self.ms, self.wall_ms)
  return table.concat(lines, "\n")
end

--- Runs fn and returns a table of rows {op, calls, ms, share, bytes, conversions, kernel}, slowest
--- first, and last a row "lua" for the time between the calls of operations; with the totals ms and
--- wall_ms and the list `sites` of layout conversions. Prints well.
---@param fn function must not yield
function M.profile(fn, ...)
  options.check("profile", { "fn", nil, "function" }, fn)
  C.mascon_profile(1)
  local begun = layer.now()
  local wall
  guard.finish(function()
    wall = (layer.now() - begun) * 1e3
    C.mascon_profile(0)
  end, guard.call("profile", fn, ...))
  local numbers = layer.new("int64_t[?]", C.MASCON_PROFILE_COUNT)
  local kernel = layer.new "const char *[1]"
  local rows = setmetatable({ ms = 0, wall_ms = wall, sites = {} }, Profile)
  for _, row in ipairs(op.list()) do
    C.mascon_profile_row(row.id, numbers, kernel)
    local calls = tonumber(numbers[C.MASCON_PROFILE_CALLS])
    if calls > 0 then
      local ms = tonumber(numbers[C.MASCON_PROFILE_NANOSECONDS]) / 1e6
      rows[#rows + 1] = {
        op = row.name, calls = calls, ms = ms, share = ms / wall,
        bytes = tonumber(numbers[C.MASCON_PROFILE_BYTES]),
        conversions = tonumber(numbers[C.MASCON_PROFILE_CONVERSIONS]),
        kernel = layer.string(kernel[0]),
      }
      rows.ms = rows.ms + ms
    end
  end
  for i = 0, tonumber(C.mascon_conversions()) - 1 do
    rows.sites[i + 1] = layer.string(C.mascon_conversion_site(i))
  end
  table.sort(rows, function(a, b) return a.ms > b.ms end)
  local between = math.max(0, wall - rows.ms)
  rows[#rows + 1] = {
    op = "lua", calls = 0, ms = between, share = between / wall, bytes = 0, conversions = 0,
    kernel = "between calls",
  }
  rows.ms = rows.ms + between
  return rows
end

return M
