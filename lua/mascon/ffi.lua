--- The one file that touches LuaJIT's FFI: loads the library, declares the C interface from the text
--- that the library carries, keeps this state's call record, and turns statuses into errors.
-- Everything else in lua/mascon works through the table that this file returns.

local has_ffi, ffi = pcall(require, "ffi")
if not has_ffi then
  error("mascon needs LuaJIT with its FFI (require \"ffi\" failed); plain Lua cannot load it", 0)
end
local raise = require "mascon.raise"

local M = {}

-- Finding the library ---------------------------------------------------------------------------

local here = debug.getinfo(1, "S").source:match("^@(.*)ffi%.lua$") or "./"

local function candidates()
  local list = {}
  local given = debug.getregistry()["mascon.path"] or os.getenv("MASCON_LIBRARY")
  if given then
    return { given } -- luaopen_mascon names the library that it is part of
  end
  list[#list + 1] = here .. "libmascon.so"
  list[#list + 1] = here .. "../../build/libmascon.so"
  -- here is <prefix>/share/lua/5.1/mascon
  local machine = ({ x64 = "x86_64", arm64 = "aarch64" })[jit.arch] or jit.arch
  for _, folder in ipairs { "lib", "lib/" .. machine .. "-linux-gnu", "lib64" } do
    list[#list + 1] = here .. "../../../../" .. folder .. "/libmascon.so"
  end
  for template in package.cpath:gmatch("[^;]+") do
    list[#list + 1] = (template:gsub("[^/]*%?[^/]*$", "libmascon.so"))
  end
  list[#list + 1] = "mascon" -- the system's own search
  return list
end

local function load_library()
  local tried = {}
  for _, path in ipairs(candidates()) do
    if path == true then -- the program itself, linked with -rdynamic
      return ffi.C, "(the program)"
    end
    local good, library = pcall(ffi.load, path)
    if good then
      return library, path
    end
    tried[#tried + 1] = "  " .. tostring(library)
  end
  error("mascon: libmascon.so was not found; tried\n" .. table.concat(tried, "\n")
    .. "\nhint: scripts/build makes it; MASCON_LIBRARY names it", 0)
end

local C, library_path
-- A cleared package.loaded must not unload or declare anything twice, and all copies of these files in
-- one Lua state must share its modes: what belongs to the state is kept in the registry.
local registry = debug.getregistry()
local anchor = registry["mascon.library"]
if anchor then
  C, library_path = anchor.C, anchor.path
else
  C, library_path = load_library()
end

if not pcall(ffi.typeof, "mascon_ref") then
  ffi.cdef "const char *mascon_interface_text(void);"
  if not pcall(function() return C.mascon_interface_text end) then
    error(("mascon: %s is not mascon's library"):format(library_path), 0)
  end
  ffi.cdef((ffi.string(C.mascon_interface_text()):gsub("MASCON_API", "")))
end
anchor = anchor or { C = C, path = library_path }
registry["mascon.library"] = anchor

M.C = C
M.library_path = library_path

do -- the handshake: what Lua believes of the structs must be what the library was built with
  local sizes = ffi.new("int32_t[3]")
  C.mascon_abi(sizes, sizes + 1, sizes + 2)
  if sizes[0] ~= ffi.sizeof("mascon_call") or sizes[1] ~= ffi.sizeof("mascon_error")
    or sizes[2] ~= ffi.sizeof("mascon_ref") then
    error("mascon: " .. library_path .. " belongs to another version than " .. here, 0)
  end
  if not ffi.abi("gc64") then
    io.stderr:write("mascon: this LuaJIT has no GC64 mode; Lua data is limited to 2 GB\n")
  end
end

-- Small services ----------------------------------------------------------------------------------

M.new = ffi.new
M.cast = ffi.cast
M.copy = ffi.copy
M.sizeof = ffi.sizeof
M.gc = ffi.gc

--- Another library, by the C declarations of its functions; path nil: what the process itself has.
---@param path? string
---@param declarations string
function M.library(path, declarations)
  ffi.cdef(declarations)
  return path and ffi.load(path) or ffi.C
end

--- A Lua string of a C string (NULL gives nil) or of n bytes.
function M.string(pointer, n)
  if pointer == nil then
    return nil
  end
  return n and ffi.string(pointer, n) or ffi.string(pointer)
end

--- Like tonumber, for int64 and pointers of the interface.
M.number = tonumber

local ref_type = ffi.typeof("mascon_ref")
local istype = ffi.istype

--- Whether v is a tensor.
---@param v any
---@return boolean
function M.is_tensor(v)
  return istype(ref_type, v)
end

--- Seconds of a steady clock.
function M.now()
  return tonumber(C.mascon_now()) * 1e-9
end

--- Whether a file descriptor is a terminal.
function M.isatty(descriptor)
  return C.mascon_is_terminal(descriptor) ~= 0
end

M.tensor_box = ffi.new("mascon_tensor *[1]")
M.number_box = ffi.new("double[1]")

-- Errors ------------------------------------------------------------------------------------------

--- Raises the C side's last error at the user's line.
---@param name? string replaces the op's name as prefix
function M.raise_last(name)
  local e = C.mascon_last_error()
  local message, detail, hint = ffi.string(e.message), ffi.string(e.detail), ffi.string(e.hint)
  local op = name or ffi.string(e.op)
  if e.native == C.MASCON_NATIVE_LATE then
    op = ffi.string(e.op) -- found by a call before this one
  end
  if e.code == C.MASCON_E_INTERRUPTED then
    C.mascon_interrupted() -- whoever raises clears the request
  end
  if os.getenv("MASCON_DEBUG") then
    detail = detail .. (detail ~= "" and "\n" or "") .. "  at " .. ffi.string(e.site)
  end
  raise.raise(op, message, detail, hint)
end

--- Raises where a C function returned another status than MASCON_OK.
---@param status integer
---@param name? string prefix of the message
function M.check(status, name)
  if status ~= 0 then
    M.raise_last(name)
  end
end

-- Tensors and their memory -------------------------------------------------------------------------

--- The state's modes: flags of every call, the generator, the innermost scope.
M.state = anchor.state or {
  flags = C.MASCON_CALL_GRAD,
  generator = nil, -- set by mascon.random
  scope = nil,     -- list of tensors made inside mascon.scope
}
local state = M.state
anchor.state = state

-- Lua's collector cannot see tensor memory: the bytes that calls allocate are a debt, and past a
-- step the collector runs in proportion to its own heap.
local DEBT_STEP = 8 * 2 ^ 20
local debt = 0
local budget

local function pay_debt()
  if not budget then
    local numbers = ffi.new("int64_t[?]", C.MASCON_MEMORY_COUNT)
    C.mascon_memory(0, numbers)
    budget = math.max(64 * 2 ^ 20, tonumber(numbers[C.MASCON_MEMORY_FREE]) / 4)
    budget = math.min(budget, 128 * 2 ^ 20)
  end
  local heap = collectgarbage("count")
  collectgarbage("step", math.max(1, math.ceil(heap * debt / budget)))
  debt = 0
end

--- Notes bytes that a call allocated.
---@param bytes integer
function M.note_debt(bytes)
  debt = debt + tonumber(bytes)
  if debt > DEBT_STEP then
    pay_debt()
  end
end

--- Makes a Lua tensor of an owned handle that no scope may release: what the library itself owns.
---@param handle any mascon_tensor *, owned; ownership passes to the Lua tensor
function M.own(handle)
  return ref_type(handle)
end

-- What lib/host/luaopen.c calls for mascon_push_tensor and mascon_check_tensor.
anchor.from_pointer = function(pointer)
  return ref_type(ffi.cast("mascon_tensor *", pointer))
end
anchor.is_tensor = M.is_tensor

--- Drops the storage of a tensor now; later uses are errors that say why.
---@param why? string
function M.discard(t, why)
  if C.mascon_tensor_discard(t.h, why) ~= 0 then
    t.h = nil -- a C host holds it too and keeps it
  end
end

--- Makes a Lua tensor of an owned handle.
---@param handle any mascon_tensor *, owned; ownership passes to the Lua tensor
function M.wrap(handle)
  local t = ref_type(handle)
  local scope = state.scope
  if scope then
    scope[#scope + 1] = t
  end
  return t
end

--- Sets the behaviour of tensors. The metatable itself can be set once per Lua state and must never
--- change, so its functions go through a table whose contents a second require replaces.
---@param handlers table functions by metamethod name
function M.metatype(handlers)
  local current = anchor.handlers
  if current then
    for name, handler in pairs(handlers) do
      current[name] = handler
    end
    return
  end
  current = handlers
  anchor.handlers = current
  local mt = {
    __gc = function(t)
      C.mascon_tensor_release(t.h)
    end,
  }
  for name in pairs(handlers) do
    mt[name] = function(a, b, c)
      return current[name](a, b, c)
    end
  end
  ffi.metatype(ref_type, mt)
end

-- Calls ---------------------------------------------------------------------------------------------

local call = ffi.new("mascon_call")
M.call = call

--- The device that the last error, of missing memory, names.
local function device_that_is_full()
  local index = ffi.string(C.mascon_last_error().message):match " on cuda:(%d+)"
  return index and C.MASCON_DEVICE_CUDA + tonumber(index) or 0
end

local function collect_and_retry()
  collectgarbage()
  collectgarbage()
  C.mascon_empty_cache(0)
  local device = device_that_is_full()
  if device ~= 0 then
    C.mascon_empty_cache(device)
  end
  return C.mascon_invoke(call)
end

--- Out of memory: collects, gives cached blocks back and tries once more; raises what remains.
local function failed(status, name)
  if status == C.MASCON_E_OOM then
    status = collect_and_retry()
    if status == 0 then
      return
    end
  end
  for i = 0, C.MASCON_MAX_DST - 1 do
    call.dst[i] = nil -- an in-place call that failed must leave nothing behind
  end
  if status == C.MASCON_E_OOM then
    local e = C.mascon_last_error()
    local text = ffi.new("char[1024]")
    C.mascon_memory_report(device_that_is_full(), text, 1024)
    local report = ffi.string(text)
    raise.raise(name or ffi.string(e.op), ffi.string(e.message),
      report ~= "" and "largest live tensors:\n" .. report or nil, ffi.string(e.hint))
  end
  M.raise_last(name)
end

--- Runs the state's call record, whose op, src, attr and so on were filled just before; nothing may
--- allocate Lua memory in between.
---@param name? string prefix of errors instead of the op's name
function M.invoke(name)
  local status = C.mascon_invoke(call)
  if status ~= 0 then
    failed(status, name)
  end
end

--- Runs the call record as M.invoke does, but answers false where the call fails: for a call that has
--- another form, which will raise the error.
---@return boolean
function M.attempt()
  local status = C.mascon_invoke(call)
  if status == 0 then
    return true
  elseif status == C.MASCON_E_INTERRUPTED then
    failed(status)
  end
  for i = 0, C.MASCON_MAX_DST - 1 do
    call.dst[i] = nil
  end
  return false
end

--- Takes output i (from 0) of the finished call as a Lua tensor.
local function take(i)
  local t = ref_type(call.dst[i])
  call.dst[i] = nil
  local scope = state.scope
  if scope then
    scope[#scope + 1] = t
  end
  if bit.band(state.flags, 4) ~= 0 then
    local path = raise.module_path()
    C.mascon_tensor_set_origin(t.h, (raise.user_line() or "?") .. (path and "\n" .. path or ""))
  end
  return t
end
M.take = take

--- Pays for what the finished call allocated; to be called when its outputs were taken.
function M.settle()
  local bytes = call.gc_debt
  if bytes > 0 then
    M.note_debt(bytes)
  end
end

local list_buffer = ffi.new("mascon_tensor *[64]")
local list_size = 64

--- A C array of the handles of a list of tensors; reused by the next call.
---@param tensors table
function M.handles(tensors)
  local n = #tensors
  if n > list_size then
    list_size = 2 * n
    list_buffer = ffi.new("mascon_tensor *[?]", list_size)
  end
  for i = 1, n do
    list_buffer[i - 1] = tensors[i].h
  end
  return list_buffer, n
end

return M
