# What Perl's plackup serves: the version, which stands beside this file.
use strict;
use warnings;
use File::Basename qw(dirname);

open(my $file, '<', dirname(__FILE__) . '/VERSION') or die "no VERSION: $!";
chomp(my $version = <$file>);

sub {
    return [
        200,
        [ 'Content-Type' => 'text/plain', 'Content-Length' => length($version) + 1 ],
        ["$version\n"],
    ];
};
