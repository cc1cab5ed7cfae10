--- What the sources of the CUDA backend promise the device, seen in their text. Needs no device.
--
-- A thread may get 255 registers, and a block 65,536: up to 256 threads fit always. A kernel that is
-- launched with more must tell the compiler (__launch_bounds__), else the launch may fail.

local ALWAYS_FITS = 256

local function sources()
  local all = {}
  local pipe = assert(io.popen "ls cuda/*.cu cuda/*.cuh")
  for path in pipe:lines() do
    local file = assert(io.open(path))
    all[path] = file:read "*a":gsub("/%*.-%*/", " "):gsub("//[^\n]*", "")
    file:close()
  end
  pipe:close()
  return all
end

--- The numbers that names stand for: those of the file, then those of headers.
local function constants_of(all, path)
  local numbers = {}
  local function take(text)
    for list in text:gmatch "constexpr%s+int%s+([^;]+);" do
      for name, value in list:gmatch "([%w_]+)%s*=%s*(%d+)" do
        numbers[name] = tonumber(value)
      end
    end
    for list in text:gmatch "enum%s*{([^}]+)}" do
      for name, value in list:gmatch "([%w_]+)%s*=%s*(%d+)" do
        numbers[name] = tonumber(value)
      end
    end
  end
  for header, text in pairs(all) do
    if header:match "%.cuh$" then
      take(text)
    end
  end
  take(all[path])
  return numbers
end

--- The arguments of the call whose opening bracket is at position `at`.
local function arguments_of(text, at)
  local list, depth, start = {}, 0, at + 1
  for i = at, #text do
    local c = text:sub(i, i)
    if c:match "[%(%{%[]" then
      depth = depth + 1
    elseif c:match "[%)%}%]]" then
      depth = depth - 1
    end
    -- a comma within <...> parts no arguments
    local piece = text:sub(start, i - 1):gsub("%->", ""):gsub("%s<%s", "")
    local _, opened = piece:gsub("<", "")
    local _, closed = piece:gsub(">", "")
    if depth == 0 or (c == "," and depth == 1 and opened <= closed) then
      list[#list + 1] = text:sub(start, i - 1)
      start = i + 1
    end
    if depth == 0 then
      return list
    end
  end
  return list
end

--- How many threads a block may have at most: the product of dim3's sizes.
local function most_threads(block, numbers)
  local sizes = block:match "dim3(%b())"
  local product = 1
  for _, size in ipairs(sizes and arguments_of(sizes, 1) or { block }) do
    local most
    for word in size:gmatch "[%w_]+" do
      local n = tonumber(word) or numbers[word]
      most = n and math.max(most or 0, n) or most
    end
    product = product * (most or 1)
  end
  return product
end

describe("sources of the cuda backend", function()
  it("tell the compiler of large blocks", function()
    local all = sources()
    local launches, large = 0, 0
    for path, text in pairs(all) do
      local numbers = constants_of(all, path)
      for at in text:gmatch "[^%w_]launch()%(" do
        local list = arguments_of(text, at)
        local threads = list[3] and not list[1]:match "%*" and most_threads(list[3], numbers) or 0
        launches = launches + (threads > 0 and 1 or 0)
        if threads > ALWAYS_FITS then
          large = large + 1
          local kernel = list[1]:match "([%w_]+)"
          local stated
          for _, other in pairs(all) do
            stated = stated or other:match("__global__[^;{]-__launch_bounds__%(([%w_]+)[^;{]-%f[%w_]" .. kernel .. "%(")
          end
          assert.is_truthy(stated, ("%s: %s has blocks of %d threads without __launch_bounds__"):format(path, kernel,
            threads))
          assert.is_true((tonumber(stated) or numbers[stated]) >= threads,
            ("%s: %s has blocks of %d threads"):format(path, kernel, threads))
        end
      end
    end
    assert.is_true(launches > 80 and large >= 4, launches .. " launches, " .. large .. " of them large")
  end)
end)
