--- Files of PyTorch's torch.save: what comes back, and the sentences about files that are not read. The
--- files lie in spec/golden/torch and were made by PyTorch itself (scripts/golden/torch_files.py).

local mascon = require "mascon"
local nn = mascon.nn

local GOLDEN = "spec/golden/torch/"
local REAL = "../shared/data/resnet20-12fca82f.th"

local folder

local function path(name)
  return folder .. "/" .. name
end

local function read(name)
  local f = assert(io.open(name, "rb"))
  local text = f:read "*a"
  f:close()
  return text
end

local function write(name, text)
  local f = assert(io.open(path(name), "wb"))
  f:write(text)
  f:close()
  return path(name)
end

local function exists(name)
  local f = io.open(name, "rb")
  return f and f:close() or false
end

--- The lines of an error, without the position in front.
local function message_of(f, ...)
  local good, message = pcall(f, ...)
  assert.is_false(good)
  return (message:gsub("^[^\n]-:%d+: ", "", 1))
end

--- A table of numbers that can be compared: NaN as a text, and zeros with their sign.
local function comparable(v)
  if type(v) == "table" then
    local t = {}
    for i, item in ipairs(v) do
      t[i] = comparable(item)
    end
    return t
  elseif v ~= v then
    return "nan"
  end
  return v == 0 and 1 / v or v
end

local function assert_tensor(want, got, name)
  assert.equal(want.dtype, got.dtype, name)
  assert.same(want.shape, got.shape, name)
  assert.is_true(got:is_contiguous(), name)
  assert.same(comparable(want:totable()), comparable(got:totable()), name)
end

local expected = mascon.load(GOLDEN .. "expected.safetensors")

--- The tensor at a dotted path, whose keys may hold dots themselves.
local function find(value, name)
  if mascon.is_tensor(value) then
    return name == "" and value or nil
  elseif type(value) ~= "table" then
    return nil
  end
  for key, item in pairs(value) do
    local text = tostring(key)
    if name == text then
      return mascon.is_tensor(item) and item or nil
    elseif name:sub(1, #text + 1) == text .. "." then
      local found = find(item, name:sub(#text + 2))
      if found then
        return found
      end
    end
  end
end

--- Compares all tensors of a golden file with what PyTorch says they are. Returns value, info.
local function check(file, prefix)
  local value, info = mascon.load(GOLDEN .. file)
  local count = 0
  for name, want in pairs(expected) do
    if name:sub(1, #prefix + 1) == prefix .. "." then
      local got = find(value, name:sub(#prefix + 2))
      assert.truthy(got, file .. ": " .. name)
      assert_tensor(want, got, name)
      count = count + 1
    end
  end
  assert.is_true(count > 0)
  assert.equal(count, #info.names)
  assert.same({}, info.unused)
  assert.same({}, info.skipped)
  assert.same({}, info.metadata)
  return value, info
end

describe("a file of torch.save", function()
  setup(function()
    local pipe = io.popen "mktemp -d"
    folder = pipe:read "*l"
    pipe:close()
  end)

  teardown(function()
    os.execute("rm -rf '" .. folder .. "'")
  end)

  for _, kind in ipairs { "zip", "stream" } do
    describe("(" .. kind .. ")", function()
      it("gives a state dict with its names in order", function()
        local value, info = check("state." .. kind .. ".pth", "state")
        assert.equal("pytorch-" .. kind, info.format)
        assert.same({ "conv.weight", "conv.bias", "bn.weight", "bn.bias", "bn.running_mean",
          "bn.running_var", "bn.num_batches_tracked", "fc.weight", "fc.bias" }, info.names)
        assert.same({ 4, 3, 3, 3 }, value["conv.weight"].shape)
        assert.equal(2, value["bn.num_batches_tracked"]:item())
        assert.is_false(value["fc.weight"].requires_grad)
      end)

      it("gives every dtype, scalars and empty tensors", function()
        local value = check("types." .. kind .. ".pth", "types")
        assert.equal("bfloat16", value.BF16.dtype)
        assert.equal(2.5, value.scalar:item())
        assert.same({}, value.scalar.shape)
        assert.same({ 3, 0, 2 }, value.empty2.shape)
      end)

      it("gathers views, keeps what is the same shared and copies the rest", function()
        local value = check("views." .. kind .. ".pth", "views")
        assert.equal(value.tied, value.tied_too)
        assert.equal(value.tied, value.same_view)
        assert.are_not.equal(value.tied, value.reshaped)
        value.narrow:zero_()
        assert.equal(48, value.transposed[1][5]:item() + value.column[1]:item() - 4)
      end)

      it("gives a training checkpoint with its plain values", function()
        local v, info = check("checkpoint." .. kind .. ".pth", "checkpoint")
        assert.equal(7, v.epoch)
        assert.equal(0.1 + 0.2, v.best)
        assert.is_nil(v.none)
        assert.is_true(v.yes)
        assert.is_false(v.no)
        assert.equal("a \195\169 \240\159\152\128", v.text)
        assert.equal(("x"):rep(100), v["long text"])
        assert.equal(("x"):rep(100), v["long text again"])
        assert.equal("\0\255\128ab", v.bytes)
        assert.same({ 1, { 2, 3 }, { 4, nil, "five" } }, v.tuple)
        assert.same({ 2, 3 }, v.size)
        assert.same({ "cuda:1", "cpu", "bfloat16" }, { v.device, v.cpu, v.dtype })
        assert.same({ 1.5, -0.25, -3, 200, true }, { v.f8, v.f4, v.i4, v.u1, v.b1 })
        assert.same({ x = { 1, 2 } }, v.defaultdict)
        assert.same({ a = 2, b = 1 }, v.counter)
        assert.same({ 2 ^ 53, -2 ^ 40, -5, 300 }, { v.big, v.negative, v.small, v.middle })
        assert.is_true(v.nan ~= v.nan)
        assert.equal(math.huge, v.inf)
        assert.same({}, v.empty)
        assert.same({}, v.nothing)
        assert.equal("an integer key", v[3])
        assert.same({ { loss = 1.5, step = 0 }, { loss = 1.5, step = 1 }, { loss = 1.5, step = 2 } }, v.history)
        local group = v.optimizer.param_groups[1]
        assert.same({ 0.001, { 0.9, 0.999 }, { 0, 1, 2, 3, 4, 5 } }, { group.lr, group.betas, group.params })
        assert.equal(2, v.optimizer.state[0].step:item())
        assert.same({ 4, 3, 3, 3 }, v.optimizer.state[0].exp_avg.shape)
        assert.equal(v.parameter, v.state_dict["fc.weight"])
        assert.equal("state_dict.conv.weight", info.names[1])
        assert.equal("optimizer.state.0.step", info.names[10])
      end)

      it("gives a bare tensor", function()
        local value, info = mascon.load(GOLDEN .. "tensor." .. kind .. ".pth")
        assert.same({ { 0, 1, 2 }, { 3, 4, 5 } }, value:totable())
        assert.same({ "tensor" }, info.names)
      end)

      it("skips Python objects when asked", function()
        local value, info = mascon.load(GOLDEN .. "namespace." .. kind .. ".pth", { skip_unknown = true })
        assert.same({ 1, 1 }, value.state_dict.a:totable())
        assert.is_nil(value.args)
        assert.same({ "args" }, info.skipped)
      end)

      it("reads expanded tensors only when asked", function()
        local file = GOLDEN .. "expanded." .. kind .. ".pth"
        assert.matches('tensor "a" has 3 elements over a storage with 1 .*hint: allow_expanded = true',
          message_of(mascon.load, file))
        assert.same({ 1, 1, 1 }, mascon.load(file, { allow_expanded = true }).a:totable())
      end)

      it("honours limits and options", function()
        local file = GOLDEN .. "types." .. kind .. ".pth"
        for name, value in pairs { tensors = 3, total_bytes = 100, opcodes = 50, memo = 5, stack = 3,
          meta_bytes = 500, marks = 1, pickle_bytes = 100 } do
          assert.matches(name .. " = " .. value,
            message_of(mascon.load, file, { limits = { [name] = value } }), name)
        end
        assert.matches("special%[1%] is nan\nhint: check_finite = false",
          message_of(mascon.load, file, { check_finite = true }))
        local text = read(file)
        local longer = write("longer.pth", text .. ("\0"):rep(9))
        assert.is_false((pcall(mascon.load, longer)))
        if kind == "stream" then
          assert.truthy(mascon.load(longer, { lenient_tail = true }).F32)
        else
          local comment = write("comment.pth", text:sub(1, -3) .. "\4\0note")
          assert.matches("no zip end record", message_of(mascon.load, comment))
          assert.truthy(mascon.load(comment, { lenient_tail = true }).F32)
        end
        assert.matches('unknown option "lenient"', message_of(mascon.load, file, { lenient = true }))
      end)
    end)
  end

  it("(tar) gives parameters, views of storages and other strides", function()
    local value, info = check("state.tar.pth", "tar_state")
    assert.equal("pytorch-tar", info.format)
    assert.same({ "fc.weight", "fc.bias", "turned", "part", "count", "half" }, info.names)
    assert.same({ { 0, 3 }, { 1, 4 }, { 2, 5 } }, value.turned:totable())
    assert.equal(41, value.count:item())
  end)

  it("refuses types that mascon cannot hold by name, or skips them", function()
    local file = GOLDEN .. "int8.zip.pth"
    assert.equal("load: " .. file .. ': "q" has dtype int8, which mascon cannot hold\n'
      .. "hint: skip_unknown = true leaves it out", message_of(mascon.load, file))
    local value, info = mascon.load(file, { skip_unknown = true })
    assert.same({ 1, 1 }, value.a:totable())
    assert.same({ "q", "u" }, info.skipped)
    assert.same({ "a" }, info.names)
  end)

  it("knows complex and quantized tensors, whose bytes it skips", function()
    for _, kind in ipairs { "zip", "stream" } do
      local file = GOLDEN .. "complex." .. kind .. ".pth"
      assert.matches('torch%._utils%._rebuild_qtensor %(key "q"', message_of(mascon.load, file))
      local value, info = mascon.load(file, { skip_unknown = true })
      assert.same({ 1, 1 }, value.a:totable())
      assert.same({ "c", "q" }, info.skipped)
    end
  end)

  it("compares check sums unless told not to", function()
    local text = read(GOLDEN .. "small.zip.pth")
    local at = assert(text:find("\0\0\128\63\0\0\128\63", 1, true))
    local broken = write("broken.pth", text:sub(1, at - 1) .. "\1" .. text:sub(at + 1))
    assert.matches('broken.pth: storage "0" has the check sum %x+, the archive says %x+; the file is damaged'
      .. ".*hint: .*verify = false", message_of(mascon.load, broken))
    assert.equal(1, mascon.load(broken, { verify = false }).a[2]:item())

    mascon.save(path "ours", { x = mascon.ones { 1000 }, y = mascon.zeros { 3, 2 }:t() })
    text = read(path "ours")
    assert.truthy(text:find('"mascon.crc32c":"%x+"'))
    assert.falsy(text:find('"mascon.crc32c":"0+"'))
    write("ours", text:sub(1, -2) .. "\1")
    assert.matches('tensor "[xy]" has the check sum %x+, the file says %x+; it is damaged',
      message_of(mascon.load, path "ours"))
    assert.truthy(mascon.load(path "ours", { verify = false }).x)
    write("ours", (text:gsub('("mascon.crc32c":")%x', "%1G")))
    assert.matches("the check sums in __metadata__", message_of(mascon.load, path "ours"))
  end)

  it("is not read when it is something else (D54 to D61)", function()
    local function says(text, name, given)
      assert.equal("load: " .. text, message_of(mascon.load, name, given))
    end
    assert.matches("^load: .*missing.pth: no such file %(in /.*%)$", message_of(mascon.load, path "missing.pth"))
    local pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:" .. ("0"):rep(64) .. "\nsize 97781\n"
    says(("%s is a git-lfs pointer (%d bytes), not the weights\nhint: git lfs pull"):format(path "r50.pth",
      #pointer), write("r50.pth", pointer))
    says(path "r50.pth" .. ' is an HTML page (starts with "<!DOCTYPE"); the download failed',
      write("r50.pth", "<!DOCTYPE html>\n<html><body>404"))
    says(path "r18.pth" .. ": no zip end record in 579,901 bytes; the file is cut off or damaged\n"
      .. "hint: download again", write("r18.pth", "PK\3\4" .. ("\0"):rep(579897)))
    local file = GOLDEN .. "namespace.zip.pth"
    says(file .. ' uses Python object argparse.Namespace (key "args", offset 257); only tensors and plain '
      .. "values are read\nhint: skip_unknown = true, or save state_dict()", file)
    for _, kind in ipairs { "zip", "stream" } do
      for _, skip in ipairs { false, true } do
        file = GOLDEN .. "model." .. kind .. ".pth"
        says(file .. " holds a whole Python model (class resnet.ResNet), not a state_dict\n"
          .. "hint: in Python: torch.save(model.state_dict(), ...)", file, { skip_unknown = skip })
      end
    end
    file = GOLDEN .. "script.zip.pth"
    says(file .. " is a TorchScript program; code is not loaded\nhint: save the state_dict instead", file)
  end)

  it("goes into a module whose names and shapes must fit (D63, D64)", function()
    local sd = mascon.load(GOLDEN .. "parallel.zip.pth")
    local Net = nn.Module:extend "Net"
    function Net:init(classes)
      self.fc = nn.Linear(4, classes)
    end
    local only = { ["module.fc.weight"] = sd["module.fc.weight"], ["module.fc.bias"] = sd["module.fc.bias"] }
    local net = Net(2)
    assert.equal('load_state_dict: 2 of 2 names differ only by the prefix "module."\nhint: strip = "module."',
      message_of(net.load_state_dict, net, only))
    net:load_state_dict(only, { strip = "module." })
    assert_tensor(expected["state.fc.weight"], net.fc.weight:detach())
    local other = Net(10)
    assert.equal("load_state_dict: 2 of 2 differ: fc.weight file {2, 4} model {10, 4}; fc.bias file {2} "
      .. 'model {10}\nhint: strict = false, or except = {"fc"}',
      message_of(other.load_state_dict, other, only, { strip = "module." }))
    local report = other:load_state_dict(sd, { strip = "module.", strict = false })
    assert.same({ "fc.weight", "fc.bias" }, report.different)
    assert.same({}, report.missing)
    assert.equal(7, #report.unexpected)
    only["module.more"], only["module.fc.bias"] = mascon.ones { 1 }, nil
    assert.equal("load_state_dict: 1 missing: fc.bias; 1 unexpected: more; 1 of 1 differ: fc.weight file "
      .. "{2, 4} model {10, 4}\nhint: strict = false loads what fits",
      message_of(other.load_state_dict, other, only, { strip = "module." }))
    local checkpoint = mascon.load(GOLDEN .. "checkpoint.zip.pth")
    assert.equal('load_state_dict: the tensors lie one level deeper: entry "state_dict" is a table of 9 tensors\n'
      .. 'hint: load_state_dict(checkpoint["state_dict"])', message_of(net.load_state_dict, net, checkpoint))
  end)

  it("accepts files without num_batches_tracked", function()
    local net = nn.Module()
    net:register_buffer("num_batches_tracked", mascon.zeros({}, { dtype = "int64" }))
    net:register_buffer("mean", mascon.zeros { 2 })
    local report = net:load_state_dict { mean = mascon.ones { 2 } }
    assert.same({ missing = {}, unexpected = {}, different = {} }, report)
    assert.equal(2, net.mean:sum():item())
  end)

  it("leaves no tensors behind, loaded or failed", function()
    local C = require("mascon.ffi").C
    local function live()
      collectgarbage()
      collectgarbage()
      return mascon.memory().tensors
    end
    local before = live()
    for _, name in ipairs { "checkpoint.zip", "checkpoint.stream", "state.tar", "views.zip" } do
      mascon.load(GOLDEN .. name .. ".pth")
      for n = 1, 12 do -- the n-th allocation and all later ones fail
        C.mascon_testing_fail_allocation(-n)
        local loaded, message = pcall(mascon.load, GOLDEN .. name .. ".pth")
        C.mascon_testing_fail_allocation(0)
        assert.is_true(loaded or message:match "load: " ~= nil, message)
      end
    end
    assert.equal(before, live())
  end)
end)

describe("ResNet-20 for CIFAR-10", function()
  it("has the 97 names of its published checkpoint", function()
    if not exists(REAL) then
      return pending(REAL .. " is not there")
    end
    local sd, info = mascon.load(REAL)
    assert.equal("pytorch-stream", info.format)
    local names = sd.state_dict
    local count = 0
    for name, t in pairs(names) do
      assert.matches("^module%.", name)
      assert.equal("float32", t.dtype)
      count = count + 1
    end
    assert.equal(97, count)
    assert.same({ 16, 3, 3, 3 }, names["module.conv1.weight"].shape)
    assert.same({ 10, 64 }, names["module.linear.weight"].shape)
    assert.equal(91, math.floor(sd.best_prec1)) -- per cent of the test pictures, as its authors say
    for name, want in pairs { -- as PyTorch reads them: the first three elements and the sum of all
      ["module.conv1.weight"] = { -0.13818146288394928, -0.1624176800251007, 0.8207383155822754, 1.3100982000032673 },
      ["module.layer2.0.bn1.running_var"] = { 1.2619320154190063, 2.663609266281128, 3.9619624614715576,
        118.83239114284515 },
      ["module.linear.weight"] = { -1.0598125457763672, 0.5688578486442566, -0.025252094492316246,
        -0.04562738863751292 },
      ["module.linear.bias"] = { 0.19355906546115875, -0.3431008756160736, 0.11120541393756866,
        3.4442171454429626e-05 },
    } do
      local t = names[name]:flatten()
      assert.same({ want[1], want[2], want[3] }, { t[1]:item(), t[2]:item(), t[3]:item() })
      assert.is_true(math.abs(t:to("float64"):sum():item() - want[4]) < 1e-9)
    end
  end)

  it("is described where it is cut off (D58)", function()
    if not exists(REAL) then
      return pending(REAL .. " is not there")
    end
    local pipe = io.popen "mktemp -d"
    folder = pipe:read "*l"
    pipe:close()
    local file = write("r20.th", read(REAL):sub(1, 614400))
    assert.equal("load: " .. file .. ': storage 76 of 97 ("94020259...") needs bytes 502,543..649,999; '
      .. "file ends at 614,400", message_of(mascon.load, file))
    os.execute("rm -rf '" .. folder .. "'")
  end)
end)
