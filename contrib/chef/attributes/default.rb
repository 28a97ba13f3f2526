# frozen_string_literal: true

default['dewy']['version'] = '0.1.0'

# A wheel that was built from this repository: an https:// or file:/// URL that ends in
# its own name, for pip reads version and platform from it.
default['dewy']['wheel'] = nil
default['dewy']['checksum'] = nil
default['dewy']['extras'] = 'fast'

# 'shop' => { 'port' => 8080, 'arguments' => 'server --registry …' }; with
# 'kind' => 'dewy-container', its units are those for containers. Without a port
# systemd holds none; for several, write a drop-in of your own.
default['dewy']['applications'] = {}
