# frozen_string_literal: true

name 'dewy'
version '0.1.0'
license 'MIT'
description 'Installs dewy from a wheel and keeps applications with it under systemd'
chef_version '>= 15.0'
supports 'debian'
supports 'ubuntu'
