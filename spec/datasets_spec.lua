--- mascon.datasets: CIFAR-10 in each layout, what it refuses, the download, and FakeData.

local mascon = require "mascon"
local layer = require "mascon.ffi"
local cifar = require "spec.support.cifar"

local datasets, data, T = mascon.datasets, mascon.data, mascon.transforms
local C = layer.C

local root

local function message_of(f, ...)
  local good, message = pcall(f, ...)
  assert.is_false(good)
  return message
end

local function open(o)
  o.root = o.root or root
  o.partial = o.partial ~= false
  return datasets.CIFAR10(o)
end

local function refused(expected, o)
  local message = message_of(open, o or {})
  assert.matches("datasets_spec.lua:%d+: CIFAR10: ", message)
  assert.is_truthy(message:find("CIFAR10: " .. expected, 1, true), message)
end

--- Sample i of ds equals picture p of a file.
local function assert_picture(ds, i, p)
  local x, label = ds:get(i)
  assert.same({ 3, 32, 32 }, x.shape)
  assert.equal("uint8", x.dtype)
  assert.equal(p.label + 1, label)
  local values = x:totable()
  for _, at in ipairs { 0, 1, 31, 32, 1023, 1024, 2047, 2048, 3071 } do
    local c, rest = math.floor(at / 1024), at % 1024
    assert.equal(p.planes:byte(at + 1), values[c + 1][math.floor(rest / 32) + 1][rest % 32 + 1])
  end
end

describe("CIFAR10", function()
  before_each(function() root = cifar.folder() end)
  after_each(function() cifar.remove(root) end)

  for _, layout in ipairs { "binary", "python" } do
    it("reads the " .. layout .. " layout", function()
      local all = cifar.make(root, layout, 12)
      local train, test = open { train = true }, open { train = false }
      assert.equal(60, train:len())
      assert.equal(12, test:len())
      assert_picture(train, 1, all.data_batch_1[1])
      assert_picture(train, 13, all.data_batch_2[1])
      assert_picture(train, 60, all.data_batch_5[12])
      assert_picture(test, 12, all.test_batch[12])
      assert.equal("truck", train.classes[10])
      assert.equal(4, train.class_to_idx.cat)
    end)

    it("reads an archive of the " .. layout .. " layout without unpacking it", function()
      local all = cifar.make(root, layout, 7)
      cifar.pack(root, layout)
      local train = open {}
      assert.equal(35, train:len())
      assert_picture(train, 8, all.data_batch_2[1])
      assert_picture(open { train = false }, 7, all.test_batch[7])
    end)
  end

  it("takes the folder itself as root, and MASCON_DATA only as the default", function()
    local all = cifar.make(root, "binary", 2)
    assert_picture(open { root = root .. "/cifar-10-batches-bin" }, 1, all.data_batch_1[1])
  end)

  it("applies transform and target_transform", function()
    local all = cifar.make(root, "binary", 2)
    local ds = open { transform = T.ToTensor(), target_transform = function(l) return -l end }
    local x, label = ds:get(2)
    assert.equal("float32", x.dtype)
    assert.is_true(math.abs(all.data_batch_1[2].planes:byte(1) / 255 - x:totable()[1][1][1]) < 1e-7)
    assert.equal(-2, label)
  end)

  it("reads class names from batches.meta.txt", function()
    cifar.make(root, "binary", 1)
    local names = { "a", "b", "c", "d", "e", "f", "g", "h", "i", "j" }
    local path = root .. "/cifar-10-batches-bin/batches.meta.txt"
    cifar.write(path, table.concat(names, "\n") .. "\n\n")
    assert.same(names, open({}).classes)
    cifar.write(path, "a\nb\n")
    refused "batches.meta.txt has 2 names of classes; expected 10"
  end)

  it("says where it looked when nothing is there", function()
    refused("no cifar-10-batches-bin, cifar-10-batches-py or archive of one in " .. root)
  end)

  it("recognises CIFAR-100 (D66)", function()
    os.execute("truncate -s 153700000 '" .. root .. "/train.bin'")
    refused "train.bin is 153,700,000 bytes = 50,000 x 3,074: this is CIFAR-100"
    local folder = root .. "/cifar-10-batches-bin"
    os.execute("mkdir '" .. folder .. "'")
    cifar.write(folder .. "/data_batch_1.bin", ("x"):rep(3074 * 2))
    refused "data_batch_1.bin is 6,148 bytes = 2 x 3,074: this is CIFAR-100"
    cifar.make(root .. "/p", "python", 1)
    cifar.write(root .. "/p/cifar-10-batches-py/data_batch_1",
      cifar.python(cifar.pictures(1, 2), "fine_labels"))
    refused("data_batch_1 has fine_labels: this is CIFAR-100", { root = root .. "/p" })
  end)

  it("refuses a short file (D67)", function()
    cifar.make(root, "binary", 1)
    for k = 1, 5 do
      os.execute(("truncate -s %d '%s/cifar-10-batches-bin/data_batch_%d.bin'")
        :format(k == 3 and 12582912 or 30730000, root, k))
    end
    refused("data_batch_3.bin is 12,582,912 bytes; expected 30,730,000 (10,000 x 3,073)",
      { partial = false })
    refused "data_batch_3.bin is 12,582,912 bytes; expected a multiple of 3,073"
  end)

  it("refuses a label above 9 by file, record and value", function()
    local list = cifar.make(root, "binary", 3).data_batch_2
    list[3].label = 12
    cifar.write(root .. "/cifar-10-batches-bin/data_batch_2.bin", cifar.binary(list))
    refused "data_batch_2.bin: record 3 has label 12; expected 0..9"
    os.execute("rm -r '" .. root .. "/cifar-10-batches-bin'")
    cifar.make(root, "python", 3)
    cifar.write(root .. "/cifar-10-batches-py/data_batch_2", cifar.python(list))
    refused "data_batch_2: record 3 has label 12; expected 0..9"
  end)

  it("names a missing file, unless partial", function()
    cifar.make(root, "binary", 1, { data_batch_1 = true, data_batch_4 = true })
    assert.equal(2, open({}):len())
    refused("no test pictures in", { train = false })
    os.execute("truncate -s 30730000 '" .. root .. "/cifar-10-batches-bin/data_batch_1.bin'")
    refused("data_batch_2.bin is missing in", { partial = false })
  end)

  it("reads no other file from an archive", function()
    cifar.make(root, "binary", 1)
    cifar.write(root .. "/cifar-10-batches-bin/evil.lua", "os.exit(1)")
    cifar.pack(root, "binary")
    refused(root .. "/cifar-10-binary.tar.gz holds \"cifar-10-batches-bin/evil.lua\", "
      .. "which is no file of CIFAR-10")
  end)

  it("ends in an error for every truncation of a Python file", function()
    cifar.make(root, "python", 1, { data_batch_1 = true })
    local path = root .. "/cifar-10-batches-py/data_batch_1"
    local whole = cifar.python(cifar.pictures(1, 1))
    for n = 0, #whole - 1, 13 do
      cifar.write(path, whole:sub(1, n))
      assert.matches("CIFAR10: ", message_of(open, {}))
    end
  end)

  it("checks its arguments", function()
    assert.matches('CIFAR10: unknown option "trian"\nhint: did you mean "train"?',
      message_of(datasets.CIFAR10, { root = root, trian = true }), 1, true)
    assert.matches("CIFAR10: train is a number", message_of(datasets.CIFAR10, root, 1), 1, true)
    cifar.make(root, "binary", 1)
    assert.matches("CIFAR10: sample 6 is out of range (1..5)", message_of(function()
      return open({}):get(6)
    end), 1, true)
  end)

  it("reads the real pictures where MASCON_DATA names them", function()
    local here = os.getenv "MASCON_DATA"
    local good, train = pcall(datasets.CIFAR10, { root = here })
    if not here or not good then
      return pending "MASCON_DATA names no CIFAR-10"
    end
    local count = {}
    assert.equal(50000, train:len())
    for X, y in data.DataLoader(train, { batch_size = 10000 })() do
      assert.same({ 10000, 3, 32, 32 }, X.shape)
      for _, label in ipairs(y:totable()) do
        count[label] = (count[label] or 0) + 1
      end
    end
    for label = 1, 10 do
      assert.equal(5000, count[label])
    end
    assert.equal(10000, datasets.CIFAR10({ root = here, train = false }):len())
  end)
end)

describe("download", function()
  local tools

  --- Runs a script in a process of its own whose program curl is the given shell script.
  local function with_curl(curl, script)
    cifar.write(tools .. "/curl", "#!/bin/sh\n" .. curl)
    cifar.write(tools .. "/script.lua", script)
    local pipe = io.popen(("chmod +x '%s/curl'; PATH='%s':$PATH luajit '%s/script.lua' 2>&1")
      :format(tools, tools, tools))
    local text = pipe:read "*a"
    pipe:close()
    return text
  end

  local function fetch(md5)
    return ([[
      local layer = require "mascon.ffi"
      print(pcall(function()
        layer.check(layer.C.mascon_download("https://example.invalid/x", %q, %q), "CIFAR10")
      end))]]):format(root .. "/new/x", md5)
  end

  local function listing()
    local pipe = io.popen("ls -A '" .. root .. "/new'")
    local text = pipe:read "*a"
    pipe:close()
    return text
  end

  --- The curl of these specs: writes `text` to the file after --output.
  local function gives(text)
    return 'while [ $# -gt 0 ]; do [ "$1" = --output ] && to=$2; shift; done\nprintf %s "'
      .. text .. '" >"$to"'
  end

  before_each(function() root, tools = cifar.folder(), cifar.folder() end)
  after_each(function()
    cifar.remove(root)
    cifar.remove(tools)
  end)

  it("knows the checksums of RFC 1321", function()
    for text, sum in pairs {
      [""] = "d41d8cd98f00b204e9800998ecf8427e",
      ["message digest"] = "f96b697d7cb7938d525a2f31aaf161d0",
      [("1234567890"):rep(8)] = "57edf4a22be3c955ac49da2e2107b67a",
    } do
      cifar.write(root .. "/m", text)
      local found = layer.new "char[33]"
      layer.check(C.mascon_file_md5(root .. "/m", found), "md5")
      assert.equal(sum, layer.string(found))
    end
  end)

  it("keeps a file whose checksum is right", function()
    local text = with_curl(gives "message digest", fetch "f96b697d7cb7938d525a2f31aaf161d0")
    assert.equal("true\n", text)
    assert.equal("x\n", listing())
  end)

  it("keeps nothing of another file", function()
    local text = with_curl(gives "something else", fetch "f96b697d7cb7938d525a2f31aaf161d0")
    assert.matches("CIFAR10: https://example.invalid/x has MD5 %x+; "
      .. "expected f96b697d7cb7938d525a2f31aaf161d0", text)
    assert.equal("", listing())
  end)

  it("says in one line that there is no network", function()
    local text = with_curl("echo 'curl: (6) Could not resolve host: www' >&2; exit 6",
      ("print(pcall(require('mascon').datasets.CIFAR10, {root = %q, download = true}))")
        :format(root .. "/new"))
    assert.is_truthy(text:find("CIFAR10: cannot download "
      .. "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz: "
      .. "curl: (6) Could not resolve host: www\n", 1, true), text)
    assert.equal("", listing())
  end)

  it("unpacks an archive into its folder", function()
    for _, layout in ipairs { "binary", "python" } do
      local here = root .. "/" .. layout
      local all = cifar.make(here, layout, 3)
      cifar.pack(here, layout)
      local archive = here .. (layout == "python" and "/cifar-10-python.tar.gz"
        or "/cifar-10-binary.tar.gz")
      layer.check(C.mascon_cifar10_unpack(archive, here), "CIFAR10")
      os.remove(archive)
      assert_picture(open { root = here }, 4, all.data_batch_2[1])
    end
  end)

  it("leaves no half unpacked folder", function()
    local here = root .. "/new"
    cifar.make(here, "binary", 3)
    cifar.write(here .. "/cifar-10-batches-bin/z", "unknown")
    cifar.pack(here, "binary")
    assert.is_false(C.mascon_cifar10_unpack(here .. "/cifar-10-binary.tar.gz", here) == 0)
    assert.equal("cifar-10-binary.tar.gz\n", listing())
  end)
end)

describe("FakeData", function()
  it("draws the same picture for the same offset + index", function()
    local a, b = datasets.FakeData { size = 30 }, datasets.FakeData { size = 10, random_offset = 20 }
    local x, lx = a:get(21)
    local y, ly = b:get(1)
    assert.same(x:totable(), y:totable())
    assert.equal(lx, ly)
    assert.not_same(x:totable(), (a:get(22)):totable())
  end)

  it("has ten classes in turn, counted from 1", function()
    local ds = datasets.FakeData { size = 20 }
    assert.equal(10, #ds.classes)
    for i = 1, 20 do
      local x, label = ds:get(i)
      assert.same({ 3, 32, 32 }, x.shape)
      assert.equal((i - 1) % 10 + 1, label)
    end
    assert.equal("circle", ds.classes[1])
    assert.equal(1, ds.class_to_idx.circle)
  end)

  it("takes other sizes and refuses what it cannot draw", function()
    local ds = datasets.FakeData { size = 2, image_size = { 3, 16, 24 }, num_classes = 3 }
    assert.same({ 3, 16, 24 }, (ds:get(1)).shape)
    assert.equal(3, #ds.classes)
    assert.matches("FakeData: num_classes is 11; must be in [1, 10]",
      message_of(datasets.FakeData, { num_classes = 11 }), 1, true)
    assert.matches("FakeData: image_size is {1, 28, 28}; expected {3, height, width}",
      message_of(datasets.FakeData, { image_size = { 1, 28, 28 } }), 1, true)
    assert.equal(0, datasets.FakeData({ size = 0 }):len())
  end)
end)
