--- The machine: devices, threads, memory caches, versions.

local layer = require "mascon.ffi"
local op = require "mascon.op"
local options = require "mascon.options"

local C = layer.C
local M = {}

local function cuda_count()
  local why = layer.new "const char *[1]"
  local count = C.mascon_device_count(C.MASCON_DEVICE_CUDA, why)
  return count, layer.string(why[0])
end

--- A device name that exists: "auto" is the first GPU where there is one, else the CPU.
---@param name? string "auto" | "cpu" | "cuda" | "cuda:2"
---@return string
function M.device(name)
  if name == nil or name == "auto" then
    return cuda_count() > 0 and "cuda:0" or "cpu"
  end
  local id = op.device("device", name)
  return id == 0 and "cpu" or "cuda:" .. bit.band(id, 255)
end

--- The devices of this machine: a list of {name =, available =, why =}.
---@return table[]
function M.devices()
  local list = { { name = "cpu", available = true } }
  local count, why = cuda_count()
  for i = 0, count - 1 do
    list[#list + 1] = { name = "cuda:" .. i, available = true }
  end
  if count == 0 then
    list[#list + 1] = { name = "cuda", available = false, why = why }
  end
  return list
end

M.cuda = {
  --- Whether a CUDA device can be used.
  is_available = function()
    return cuda_count() > 0
  end,
  --- Waits until a device has done all it was given. A bad label or index that it met is an error here.
  ---@param device? string default "cuda"
  synchronize = function(device)
    layer.check(C.mascon_synchronize(op.device("synchronize", device or "cuda")), "synchronize")
  end,
}

--- Threads for kernels and loaders of this process.
---@param n integer 1 or more
function M.set_num_threads(n)
  options.check("set_num_threads", { "n", nil, "integer", min = 1 }, n)
  layer.check(C.mascon_set_num_threads(n), "set_num_threads")
end

---@return integer
function M.get_num_threads()
  return C.mascon_num_threads()
end

--- Gives cached blocks back to the system.
---@param device? string
function M.empty_cache(device)
  C.mascon_empty_cache(op.device("empty_cache", device or "cpu"))
end

local function set(setting, on)
  layer.check(C.mascon_set(setting, on and 1 or 0), "set")
end

--- Lets memory().peak begin again at what is live now.
---@param device? string
function M.reset_peak_memory(device)
  C.mascon_reset_peak_memory(op.device("reset_peak_memory", device or "cpu"))
end

--- The least precision of float32 work: "tf32" lets a GPU round the factors of convolutions
-- (as it begins), "highest" forbids it. The CPU computes in full float32 either way.
---@param kind string "highest" | "tf32"
function M.set_float32_precision(kind)
  options.check("set_float32_precision", { "kind", nil, "string", choices = { "highest", "tf32" } }, kind)
  set(C.MASCON_SETTING_TF32, kind == "tf32")
end

--- Whether the same script gives the same bits twice on a GPU, which excludes some faster kernels. The CPU
-- always does.
---@param on boolean
function M.deterministic(on)
  options.check("deterministic", { "on", nil, "boolean" }, on)
  set(C.MASCON_SETTING_DETERMINISTIC, on)
end

--- Whether a GPU's convolutions are timed once per shape to find the fastest; which one wins may differ
-- from run to run.
---@param on boolean
function M.benchmark(on)
  options.check("benchmark", { "on", nil, "boolean" }, on)
  set(C.MASCON_SETTING_BENCHMARK, on)
end

local CONFIG_BYTES = 4096
local about_processor = {
  processor = true, processors = true, features = true, kernels = true, faster_products = true, compiler = true,
}

--- Versions, devices, processor features and libraries.
---@return table version, lua, library (its path), threads, devices, processor, processors, features (a list),
---  kernels ("avx512", "avx2" or "plain"), faster_products ("bfloat16" or "float32"), compiler,
---  libraries {name = version}
function M.config()
  local config = {
    version = layer.string(C.mascon_version()), lua = jit.version, library = layer.library_path,
    threads = C.mascon_num_threads(), devices = M.devices(), libraries = {},
  }
  local text = layer.new("char[?]", CONFIG_BYTES)
  C.mascon_config_text(text, CONFIG_BYTES)
  for name, value in layer.string(text):gmatch "([^\t\n]+)\t([^\n]*)" do
    if about_processor[name] then
      config[name] = value
    else
      config.libraries[name] = value
    end
  end
  config.processors = tonumber(config.processors)
  local features = {}
  for feature in (config.features or ""):gmatch "%S+" do
    features[#features + 1] = feature
  end
  config.features = features
  return config
end

return M
