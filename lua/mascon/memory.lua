--- mascon.memory: what the allocators hold.

local layer = require "mascon.ffi"
local op = require "mascon.op"

local C = layer.C
local M = {}

--- Counters of a device's allocator and of the whole process.
---@param device? string default "cpu"
---@return table live, cached, peak, total, free in bytes; allocations, raw_allocations, tensors, nodes
function M.memory(device)
  local numbers = layer.new("int64_t[?]", C.MASCON_MEMORY_COUNT)
  layer.check(C.mascon_memory(op.device("memory", device or "cpu"), numbers), "memory")
  local function at(i)
    return tonumber(numbers[i])
  end
  return {
    live = at(C.MASCON_MEMORY_LIVE), cached = at(C.MASCON_MEMORY_CACHED),
    peak = at(C.MASCON_MEMORY_PEAK), allocations = at(C.MASCON_MEMORY_ALLOCATIONS),
    raw_allocations = at(C.MASCON_MEMORY_RAW_ALLOCATIONS), tensors = at(C.MASCON_MEMORY_TENSORS),
    nodes = at(C.MASCON_MEMORY_NODES), total = at(C.MASCON_MEMORY_TOTAL),
    free = at(C.MASCON_MEMORY_FREE),
  }
end

return M
