--- mascon.save and mascon.load: what comes back, what is refused, and that files appear whole.

local mascon = require "mascon"

local folder

local function path(name)
  return folder .. "/" .. name
end

local function read(name)
  local f = assert(io.open(path(name), "rb"))
  local text = f:read "*a"
  f:close()
  return text
end

local function write(name, text)
  local f = assert(io.open(path(name), "wb"))
  f:write(text)
  f:close()
end

local function listing()
  local pipe = io.popen("ls -A '" .. folder .. "'")
  local text = pipe:read "*a"
  pipe:close()
  return text
end

--- The message of an error, without the position in front.
local function message_of(f, ...)
  local good, message = pcall(f, ...)
  assert.is_false(good)
  return message
end

local function round_trip(value, opts)
  mascon.save(path "round.safetensors", value, opts)
  return mascon.load(path "round.safetensors")
end

describe("save and load", function()
  setup(function()
    local pipe = io.popen "mktemp -d"
    folder = pipe:read "*l"
    pipe:close()
  end)

  teardown(function()
    os.execute("rm -rf '" .. folder .. "'")
  end)

  it("gives back tensors of every dtype", function()
    for _, dtype in ipairs { "float32", "float64", "bfloat16", "float16", "int64", "int32", "uint8",
      "bool" } do
      local x = mascon.tensor({ { 1, 0, 1 }, { 0, 1, 1 } }, { dtype = dtype })
      local y = round_trip(x)
      assert.equal(dtype, y.dtype)
      assert.same({ 2, 3 }, y.shape)
      assert.same(x:totable(), y:totable())
    end
  end)

  it("gives back scalars, empty tensors and views", function()
    local x = mascon.tensor { { 1, 2, 3 }, { 4, 5, 6 } }
    local y = round_trip { a = mascon.full({}, 21), b = mascon.zeros { 0, 4 }, c = x:t(), d = mascon.ones { 3 } }
    assert.same({}, y.a.shape)
    assert.equal(21, y.a:item())
    assert.same({ 0, 4 }, y.b.shape)
    assert.same({ { 1, 4 }, { 2, 5 }, { 3, 6 } }, y.c:totable())
    assert.same({ 1, 1, 1 }, y.d:totable())
    assert.same({ { 2, 2, 2 } }, round_trip(mascon.tensor({ { 2 } }):expand { 1, 3 }):totable())
  end)

  it("gives back plain values with their structure", function()
    local value = {
      1, 2, { "x", true, false },
      epoch = 12,
      [7] = "seven",
      [-1.5] = "key",
      tiny = 5e-324,
      third = 1 / 3,
      big = 2 ^ 60,
      text = "a \"quoted\"\\ \n\1 \195\169 line",
      bytes = "\0\255\254 not UTF-8",
      empty = {},
      [""] = "empty key",
      ["dotted.key"] = { ["\n"] = 1 },
    }
    local got = round_trip(value)
    assert.same(value, got)
    local numbers = round_trip { math.huge, -math.huge, 0 / 0, -0 }
    assert.equal(math.huge, numbers[1])
    assert.equal(-math.huge, numbers[2])
    assert.is_true(numbers[3] ~= numbers[3])
    assert.equal(-math.huge, 1 / round_trip(-1 / math.huge))
    for _, v in ipairs { true, false, 0.1, "text", "" } do
      assert.equal(v, (round_trip(v)))
    end
    for i = 1, 200 do
      local v = math.random() * 10 ^ math.random(-300, 300)
      assert.equal(v, (round_trip(v)), i)
    end
  end)

  it("keeps tables that are met twice the same table", function()
    local shared = { 1 }
    local got = round_trip { shared, shared, { shared } }
    assert.equal(got[1], got[2])
    assert.equal(got[1], got[3][1])
  end)

  it("writes tensors under dotted names", function()
    local x, y = mascon.ones { 2 }, mascon.zeros { 3 }
    local got, info = round_trip({
      model = { ["conv.0.weight"] = x },
      optimizer = { { y } },
      ["model.conv.0.weight"] = mascon.full({ 1 }, 5),
      ["__metadata__"] = mascon.full({ 1 }, 6),
      ["__mascon__.x"] = mascon.full({ 1 }, 7),
      ["a\nb"] = mascon.full({ 1 }, 8),
      [("long"):rep(200)] = mascon.full({ 1 }, 9),
    }, { metadata = { author = "nobody" } })
    table.sort(info.names)
    assert.same({ "model.conv.0.weight", "model.conv.0.weight~2", "optimizer.1.1", "tensor.1",
      "tensor.2", "tensor.3", "tensor.4" }, info.names)
    assert.same({ format = "pt", author = "nobody" }, info.metadata)
    assert.same({}, info.unused)
    assert.same({ 1, 1 }, got.model["conv.0.weight"]:totable())
    assert.same({ 0, 0, 0 }, got.optimizer[1][1]:totable())
    assert.same({ 5 }, got["model.conv.0.weight"]:totable())
    assert.same({ 6 }, got["__metadata__"]:totable())
    assert.same({ 7 }, got["__mascon__.x"]:totable())
    assert.same({ 8 }, got["a\nb"]:totable())
    assert.same({ 9 }, got[("long"):rep(200)]:totable())
  end)

  it("writes tied tensors once", function()
    local w = mascon.rand { 4, 4 }
    local got, info = round_trip { a = w, b = { w:detach(), w } }
    assert.same({ "a" }, info.names)
    assert.equal(got.a, got.b[1])
    assert.equal(got.a, got.b[2])
  end)

  it("refuses tensors that share a part of their memory", function()
    local w = mascon.rand { 4, 4 }
    local message = message_of(mascon.save, path "x.safetensors", { a = w, b = w:t() })
    assert.matches('save: tensors "[ab]" and "[ab]" share memory', message)
    assert.matches("hint: clone", message)
    local got = round_trip { a = w:narrow(1, 1, 2), b = w:narrow(1, 3, 2) }
    assert.same(w:narrow(1, 3, 2):totable(), got.b:totable())
  end)

  it("stores what passes the limit of the metadata in tensors", function()
    local value = { x = mascon.ones { 2 }, list = {}, text = ("\255"):rep(300000) }
    for i = 1, 100000 do
      value.list[i] = i / 7
    end
    local note = ("note "):rep(250000)
    local got, info = round_trip(value, { metadata = { note = note, short = "s" } })
    assert.same({ "x" }, info.names)
    assert.same({ format = "pt", note = note, short = "s" }, info.metadata)
    assert.equal(value.text, got.text)
    assert.same(value.list, got.list)
    assert.same({ 1, 1 }, got.x:totable())
  end)

  it("makes the same bytes of the same value", function()
    local x = mascon.ones { 2 }
    mascon.save(path "one", { b = 1, a = { x }, c = { z = 1, y = 2 } })
    mascon.save(path "two", { c = { y = 2, z = 1 }, a = { x:clone() }, b = 1 })
    assert.equal(read "one", read "two")
  end)

  it("loads a file without a structure as a flat table", function()
    local header = '{"a.b":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},'
      .. '"i":{"dtype":"I16","shape":[1],"data_offsets":[2,4]},"__metadata__":{"k":"v"}}'
    write("flat", string.char(#header) .. ("\0"):rep(7) .. header .. "\3\4\5\6")
    local message = message_of(mascon.load, path "flat")
    assert.matches('load: .*flat: tensor "i" has dtype I16, which mascon cannot hold', message)
    local got, info = mascon.load(path "flat", { skip_unknown = true })
    assert.same({ 3, 4 }, got["a.b"]:totable())
    assert.same({ "a.b", "i" }, info.names)
    assert.same({ "i" }, info.skipped)
    assert.same({ k = "v" }, info.metadata)
    assert.equal("safetensors", info.format)
  end)

  it("refuses what cannot be saved", function()
    local function refused(pattern, value, opts)
      local message = message_of(mascon.save, path "bad.safetensors", value, opts)
      assert.matches("^[^\n]*io_spec.lua:%d+: save: " .. pattern, message)
      assert.is_nil(io.open(path "bad.safetensors"))
    end
    refused("value at extra.transform is a function; tables, numbers, strings, booleans and tensors",
      { extra = { transform = print } })
    refused("value at f is a userdata", { f = io.stdout })
    refused("value at 1.1 is a thread", { { coroutine.create(print) } })
    refused("value is nil")
    refused("a key at t is a boolean; keys can be strings and numbers", { t = { [true] = 1 } })
    refused("value at o is an object", { o = setmetatable({}, { __index = {} }) })
    local loop = { a = {} }
    loop.a.b = loop
    refused("value at a.b is a table that contains itself", loop)
    local deep = {}
    for _ = 1, 32 do
      deep = { deep }
    end
    refused("tables are nested deeper than 32", deep)
    refused('metadata%["n"%] is a number', 1, { metadata = { n = 1 } })
    refused('metadata "format" is reserved', 1, { metadata = { format = "x" } })
    refused('metadata "k" is not valid UTF%-8', 1, { metadata = { k = "\255" } })
    refused('unknown option "metdata"', 1, { metdata = {} })
    local released = mascon.ones { 1 }
    released:release()
    refused("tensor at x was released", { x = released })
    assert.matches("save: path is 5; expected the name of a file", message_of(mascon.save, 5, 1))
  end)

  it("saves ordered tables in their order", function()
    local order = { "z", "a", "m" }
    local t = setmetatable({ z = 1, a = 2, m = 3 }, {
      __pairs = function(self)
        local i = 0
        return function()
          i = i + 1
          return order[i], self[order[i]]
        end
      end,
    })
    mascon.save(path "ordered", t)
    assert.truthy(read("ordered"):find('z\\",1,\\"a\\",2,\\"m\\",3', 1, true))
    assert.same({ z = 1, a = 2, m = 3 }, (mascon.load(path "ordered")))
  end)

  it("says where a file is missing", function()
    assert.matches("save: directory .*/none/ does not exist",
      message_of(mascon.save, path "none/x.safetensors", 1))
    assert.matches("load: .*/missing.pth: no such file %(in /",
      message_of(mascon.load, path "missing.pth"))
    assert.matches("save: .* is a folder", message_of(mascon.save, folder, 1))
    assert.matches("load: .* is a folder; expected a file", message_of(mascon.load, folder))
    assert.matches("load: .*dangling: a symbolic link to",
      (function()
        os.execute("ln -s .git/annex/objects/xx '" .. path "dangling" .. "'")
        return message_of(mascon.load, path "dangling")
      end)())
    os.remove(path "dangling")
  end)

  it("replaces a file whole, with its mode, through links", function()
    os.execute("mkdir '" .. path "real" .. "'")
    mascon.save(path "real/x", 1)
    os.execute(("chmod 640 '%s'; ln -s real/x '%s'"):format(path "real/x", path "link"))
    mascon.save(path "link", 2)
    assert.equal(2, (mascon.load(path "real/x")))
    local pipe = io.popen(("stat -c %%a '%s'; readlink '%s'"):format(path "real/x", path "link"))
    assert.equal("640\nreal/x\n", pipe:read "*a")
    pipe:close()
    pcall(mascon.save, path "real/x", { print })
    assert.equal(2, (mascon.load(path "real/x")))
    assert.is_nil(listing():find("%.tmp"))
  end)

  it("names the usual wrong files", function()
    local cases = {
      { "", "is empty" },
      { "version https://git-lfs.github.com/spec/v1\n", "git%-lfs pointer %(43 bytes%).*hint: git lfs pull" },
      { "<!DOCTYPE html>\n<html>", 'HTML page %(starts with "<!DOCTYPE"%); the download failed' },
      { "\31\139\8\0", "gzip" },
      { "GGUF....", "GGUF" },
      { "\147NUMPY", "NumPy" },
      { "\137HDF\r\n", "HDF5" },
      { "4\n1\n", "Torch7" },
      { "PYTORCH1", "PyTorch 1.0 preview" },
      { "PK\5\6" .. ("\0"):rep(18), "empty zip" },
      { "PK\3\4" .. ("\0"):rep(18), "no zip end record in 22 bytes" },
      { "\128\2\138\10\108\252\156\70\249\32\106\168\80\25\46", "pickle: does not begin with PROTO" },
      { ("\0"):rep(257) .. "ustar\00000", "the archive is cut off" },
      { "\128\3\138\10\108\252\156\70\249\32\106\168\80\25\46", "pickle protocol 3; in such a file 2 is read" },
      { "\128\4\149\10\0\0\0\0\0\0\0}\148\140\1a", "is a Python pickle.*hint: in Python: torch%.save" },
      { "hello world", 'no known kind %(starts with "hello world"%)' },
    }
    for _, case in ipairs(cases) do
      write("wrong.pth", case[1])
      assert.matches("load: .*wrong.pth.*" .. case[2], message_of(mascon.load, path "wrong.pth"))
    end
  end)

  it("honours limits and options by name", function()
    mascon.save(path "x", { a = mascon.ones { 100 }, b = mascon.ones { 1 } })
    assert.matches("passes the limit total_bytes = 100",
      message_of(mascon.load, path "x", { limits = { total_bytes = 100 } }))
    assert.matches("passes the limit tensors = 1",
      message_of(mascon.load, path "x", { limits = { tensors = 1 } }))
    assert.matches('load: unknown limit "tensor"',
      message_of(mascon.load, path "x", { limits = { tensor = 1 } }))
    assert.matches("limit tensors is %-1", message_of(mascon.load, path "x", { limits = { tensors = -1 } }))
    assert.matches('unknown option "devise"', message_of(mascon.load, path "x", { devise = "cpu" }))
    assert.matches('load: unknown device "gpu"', message_of(mascon.load, path "x", { device = "gpu" }))
    local got = mascon.load(path "x", { device = "cpu", limits = { tensors = 2 }, verify = false })
    assert.equal("cpu", got.a.device)
  end)
end)
